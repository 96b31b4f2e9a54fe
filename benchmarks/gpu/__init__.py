"""What a GPU gives: figures from one command on a bare machine that is at hand for a few minutes.

``benchmarks.gpu.build`` packs all that such a machine lacks, ``benchmarks.gpu`` measures there,
``benchmarks.gpu.report`` judges at home what came back, and keeps it.
"""

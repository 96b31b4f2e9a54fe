"""A morphable model of the face (Blanz and Vetter, 1999), fitted to the 68 points of a photograph. Imports no torch.

The model is this project's own: a PCA of faces that the renderer draws. It has seen no scan of a person.
"""

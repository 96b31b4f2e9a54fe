"""What all machines share that work with one registry: objects in S3, leases, the journal of promotions."""

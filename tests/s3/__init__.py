"""What `make test-s3` does: aptly publishes to a server that speaks S3 (moto), and apt reads from it."""

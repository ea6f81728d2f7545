"""What stands beside the product: a test PBX, phones for it, and files for the system around it."""

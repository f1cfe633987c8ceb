"""EC2: instances, images, snapshots, security groups."""

"""What all else stands on: files, environment, device, pictures, saved networks."""

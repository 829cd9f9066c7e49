"""What builds and checks parts of the repository; none of it is in the package."""

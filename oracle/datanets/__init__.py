"""What a contribution goes through: read, checked, published, reviewed, and put into a snapshot that can be trained
on."""

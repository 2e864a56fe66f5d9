"""What tests are made with: images, networks, face sets, groups of processes, a browser and a web server."""

"""What tests run: installations and their commands, servers, databases, services, connections that break."""

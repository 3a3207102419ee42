"""What tests run things with: installations and their commands, servers, databases, services, wires that break."""

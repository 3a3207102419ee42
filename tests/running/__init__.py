"""What tests run things with: installations and their commands, servers, databases, other processes, lossy wires."""

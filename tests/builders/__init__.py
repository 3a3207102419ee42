"""What tests are made of: days, registers, files, sheets, people. Plain data, which shares no code with the engine."""

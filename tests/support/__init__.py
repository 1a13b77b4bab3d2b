"""What several test modules share: fakes, scripted services, reference implementations. Tests import no tests."""

"""What holds for all tests."""

from hypothesis import settings

# The same examples in every run, and no test that fails because a machine is slow.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

"""What a network is written as, for programs that know nothing of fastmlp."""

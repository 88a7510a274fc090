"""The soak: random work on four stacks for as long as one likes, with nothing lost, left over or grown at the end."""

"""One page from the figures of commands: self-contained HTML, fed by their JSON alone."""

"""Whether the judge can be trusted: anchors from outside, frozen runs, sabotage."""

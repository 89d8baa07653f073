"""AWS's JSON policies: read and refused with the place of the mistake, compiled once, evaluated with AWS's rules."""

"""What theory says of a run: certificates, baselines, separation, the tangent kernel."""

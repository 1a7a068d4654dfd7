"""Many shots at once: prompt sheets, batches on this machine, bundles for render farms."""

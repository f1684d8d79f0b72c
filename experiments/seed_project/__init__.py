"""Run the student project that photoseek grew from, beside photoseek."""

"""From a body to what is known of its images: taken apart, asked about once, remembered, within limits."""

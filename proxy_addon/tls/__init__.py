"""What is decrypted and what passes unseen: certificates, hosts that are left alone, pinned clients, tunnels."""

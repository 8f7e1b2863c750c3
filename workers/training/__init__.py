"""What is trained here, from pictures to files that ship: encoders, converters, classifiers, codebooks.  With torch."""

"""The bus over Kafka, by aiokafka: topics, clients, what is read and sent, and what of it may be committed."""

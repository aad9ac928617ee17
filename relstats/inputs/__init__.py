"""What others bring: regions, landmarks, judgments, choices, people's maps, ViRelAy's files."""

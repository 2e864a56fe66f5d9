"""Faces: insightface's workflow of its MXNet years, from people's pictures to a verified embedding."""

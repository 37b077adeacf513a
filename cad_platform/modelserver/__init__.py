"""The port to a model server and its adapters. Knows no database row; rules about jobs are in `analysis`."""

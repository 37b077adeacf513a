"""The fleet of model servers behind a port, and its adapters. Knows no study and no job: those are `analysis`."""

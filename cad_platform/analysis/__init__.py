"""Analysis jobs from request to result, and the findings that models make."""

"""The life of what is kept of people: two records of one patient become one, and what must go goes when it must.

What studies, reports and findings are stands on the floors below; here is only what happens to all of them together.
"""

"""Mending what triage names: one planner for each page of 08-troubleshoot, made of the actions that there are."""

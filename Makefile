# `make` alone lists the targets. The work is in scripts/, so that each step can be run alone.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench wheel lock clean

help:           ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup:          ## make .venv with the product in it (quick when nothing changed)
	@scripts/setup

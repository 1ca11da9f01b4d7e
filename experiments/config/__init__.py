"""Run configurations: `RunConfig`, and recipes, which are run configurations as TOML files."""

from experiments.config.recipes import load_recipe, recipe_names, to_toml
from experiments.config.run_config import RunConfig

__all__ = ["RunConfig", "load_recipe", "recipe_names", "to_toml"]

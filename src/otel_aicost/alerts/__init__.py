"""What is worth a warning: alerts as values, the rules that raise them, and the section `alerts:` of aicost.yaml."""

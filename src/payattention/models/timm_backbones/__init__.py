"""The paper's attention on any timm backbone."""

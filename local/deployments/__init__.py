"""Deployments of Azure Resource Manager, and App Service's publishing: what `azd up` and `az deployment` talk to."""

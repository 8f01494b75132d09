$ctx = New-AzStorageContext -StorageAccountName "contoso026e2e" -StorageAccountKey "jdkN+53kj/pDrKsxMTZi0+m2D+6uBkgK19Vcwpj0n9JpE6xB6EeNtuBh0V/oRpqaPjWdMnIAIBbp+AStfhm1Rw=="
Set-AzStorageBlobContent -Container web -File x -Context $ctx

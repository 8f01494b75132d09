// Sends the logs of a monitored storage account to the workspace, so that mails and incidents can list what a leak touched.

@description('Name of the account, which exists already.')
param accountName string

@description('Name of the environment: several may log the same account.')
param environmentName string

@description('Id of the workspace that gets the logs.')
param workspaceId string

var logs = [
  {
    category: 'StorageRead'
    enabled: true
  }
  {
    category: 'StorageWrite'
    enabled: true
  }
  {
    category: 'StorageDelete'
    enabled: true
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2025-01-01' existing = {
  parent: account
  name: 'default'
}

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'sasquash-${environmentName}'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'sasquash-${environmentName}'
  scope: queues
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}

resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'sasquash-${environmentName}'
  scope: tables
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}

resource fileLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'sasquash-${environmentName}'
  scope: files
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}

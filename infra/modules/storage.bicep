// Sasquash's own storage account: records, queues, dead letters, and the storage of the responder's Functions host. Never a
// target of an action. The intake's host has an account of its own (intake-storage.bicep).
import { redundancyKind, tagMap } from 'types.bicep'

@description('Name of the account.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('How the account keeps its copies.')
param redundancy redundancyKind

@description('Id of the responder\'s identity.')
param responderId string

@description('Its object id.')
param responderPrincipalId string

@description('Id of the identity of a separate intake; empty for none.')
param intakeId string

@description('Its object id.')
param intakePrincipalId string

@description('Whether it is reachable through private endpoints only, and by Event Grid as a trusted service.')
param privateNetwork bool

@description('Id of the workspace that gets the account\'s logs.')
param workspaceId string

// What the code uses: shared/factories/, shared/persistence/queues.py. Poison queues are those of the Functions host.
var tables = [
  'revocations'
  'accounts'
  'states'
  'digest'
  'readiness'
  'outbox'
]
var queues = [
  'contain'
  'contain-poison'
  'follow-up'
  'follow-up-poison'
  'intake'
  'intake-poison'
  'findings'
  'findings-poison'
]
var intakeQueues = [
  'intake'
  'intake-poison'
]
var containers = [
  'package-responder'
  'dead-letters'
]

var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var responderRoles = [
  blobDataOwner
  queueDataContributor
  tableDataContributor
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    // Enabled, and denied below: Disabled would refuse trusted services, too.
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      // Event Grid writes dead letters and, in a private network, findings ("Storage queue as an event handler": with a
      // firewall by a system-assigned identity, and only if trusted services are allowed).
      bypass: 'AzureServices'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: false
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for item in containers: {
    parent: blobs
    name: item
    properties: {
      publicAccess: 'None'
    }
  }
]

// Dead letters may contain leaked credentials. The app deletes each once its record is written, and none is kept for long.
resource life 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'dead-letters-go'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'dead-letters/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: 30
                }
              }
            }
          }
        }
      ]
    }
  }
  dependsOn: [
    blobs
  ]
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-01-01' = [
  for item in queues: {
    parent: queueService
    name: item
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-01-01' = [
  for item in tables: {
    parent: tableService
    name: item
  }
]

resource responderRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in responderRoles: {
    name: guid(account.id, responderId, role)
    scope: account
    properties: {
      principalId: responderPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Its two queues are all that the intake may use here: nothing of the blobs, which hold the responder's keys in
// azure-webjobs-secrets, and nothing of the tables.
resource intakeRights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, i) in (empty(intakeId) ? [] : intakeQueues): {
    name: guid(account.id, intakeId, item)
    scope: queue[i + 4]
    properties: {
      principalId: intakePrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
    }
  }
]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

// Who writes to the records and to the queues.
resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: tableService
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: queueService
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output name string = account.name
output id string = account.id

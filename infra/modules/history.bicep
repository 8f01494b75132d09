// The copy of the records' histories: a table of the workspace that only the responder can add to, through a data
// collection rule, and that its identity cannot change.
import { tagMap } from 'types.bicep'

@description('Name of the environment.')
param environmentName string

@description('Region of the workspace.')
param location string

@description('Tags.')
param tags tagMap

@description('For how many days records are kept; 0 for good.')
param recordDays int

@description('Id of the responder\'s identity, which adds lines and reads them.')
param writerId string

@description('Its object id.')
param writerPrincipalId string

var metricsPublisher = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '3913510d-42f4-4e42-8a64-420c390055eb'
)
var reader = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'acdd72a7-3385-48ef-bd42-f606fba81ae7')

// The columns of shared/cloud/history_copy.py; a test compares them. Those that the table gets by itself are not sent.
var columns = [
  { name: 'Fingerprint', type: 'string' }
  { name: 'Chain', type: 'string' }
  { name: 'Line', type: 'long' }
  { name: 'Previous', type: 'string' }
  { name: 'Hash', type: 'string' }
  { name: 'At', type: 'datetime' }
  { name: 'Who', type: 'string' }
  { name: 'State', type: 'string' }
  { name: 'What', type: 'string' }
  { name: 'Evidence', type: 'string' }
  { name: 'CorrelationId', type: 'string' }
  { name: 'Record', type: 'string' }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: 'log-sasquash-${environmentName}' // of monitoring.bicep
}

resource table 'Microsoft.OperationalInsights/workspaces/tables@2025-02-01' = {
  parent: workspace
  name: 'SasquashHistory_CL'
  properties: {
    plan: 'Analytics'
    // The longest that queries reach. Lines past it are unconfirmed.
    retentionInDays: 730
    // At least as long as records are kept. 4383 is the longest that there is.
    totalRetentionInDays: recordDays > 0 && recordDays <= 700 ? 730 : 4383
    schema: {
      name: 'SasquashHistory_CL'
      columns: concat([{ name: 'TimeGenerated', type: 'datetime' }], columns)
    }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: 'dcr-sasquash-${environmentName}'
  location: location
  tags: tags
  kind: 'Direct'
  properties: {
    streamDeclarations: {
      'Custom-SasquashHistory_CL': {
        columns: columns
      }
    }
    destinations: {
      logAnalytics: [
        {
          name: 'workspace'
          workspaceResourceId: workspace.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Custom-SasquashHistory_CL'
        ]
        destinations: [
          'workspace'
        ]
        // The time of a line is what its writer says. That of its arrival is not.
        transformKql: 'source | extend TimeGenerated = now()'
        outputStream: 'Custom-SasquashHistory_CL'
      }
    ]
  }
  dependsOn: [
    table
  ]
}

resource writing 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(rule.id, writerId, metricsPublisher)
  scope: rule
  properties: {
    principalId: writerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: metricsPublisher
  }
}

// To read this table and no other takes two roles ("Manage table-level access in a Log Analytics workspace"): one to
// run queries, and one on the table.
resource querying 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, environmentName, 'Sasquash History')
  properties: {
    roleName: 'Sasquash History (${environmentName}, ${substring(subscription().subscriptionId, 0, 8)})'
    description: 'Run queries in the workspace, without reading any table.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.OperationalInsights/workspaces/read'
          'Microsoft.OperationalInsights/workspaces/query/read'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource queries 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, writerId, 'Sasquash History')
  scope: workspace
  properties: {
    principalId: writerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: querying.id
  }
}

resource reading 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(table.id, writerId, reader)
  scope: table
  properties: {
    principalId: writerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader
  }
}

output endpoint string = rule.properties.endpoints.logsIngestion
output ruleId string = rule.properties.immutableId
output workspaceId string = workspace.properties.customerId

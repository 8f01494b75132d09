// One function app on Flex Consumption. Intake and responder have the same package. Each has the other's functions
// disabled.
import { readyGroup, settingMap, tagMap } from 'types.bicep'

@description('Name of the app.')
param name string

@description('The service of azure.yaml that is deployed to it.')
param service string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('Id of its user-assigned identity.')
param identityId string

@description('Client id of that identity.')
param clientId string

@description('Name of Sasquash\'s storage account.')
param storageName string

@description('Name of the storage account of its Functions host, which also holds its package.')
param hostStorageName string

@description('The container with its package.')
param container string

@description('Connection string of Application Insights; it grants no access by itself, because local authentication is off.')
param insightsConnection string

@description('Settings of the code, by name.')
param settings settingMap

@description('Whether the app reads and writes the records: a separate intake uses one queue alone.')
param hasRecords bool

@description('The functions that are disabled in this app.')
param disabled string[]

@description('Whether its plan has several zones.')
param zoneRedundant bool

@description('Always-ready instances, in the format of Flex Consumption.')
param alwaysReady readyGroup[]

@description('Whether it is reachable from the internet. If not, it needs a private endpoint.')
param isPublic bool

@description('Id of the subnet that it reaches the network from; empty for none.')
param subnetId string

@description('Application id of the registration that people sign in to; empty for none.')
param apiClientId string

@description('Id of the workspace that gets its log.')
param workspaceId string

var suffix = environment().suffixes.storage
var hostBlobUri = 'https://${hostStorageName}.blob.${suffix}/'

// The host's storage by its URIs and by its name. The URIs alone failed at the start of Flex Consumption hosts
// (Azure/azure-functions-host#11787: "in addition to" them, the name avoids it); the name alone means the public cloud.

var ownSettings = {
  AzureWebJobsStorage__accountName: hostStorageName
  AzureWebJobsStorage__blobServiceUri: hostBlobUri
  AzureWebJobsStorage__queueServiceUri: 'https://${hostStorageName}.queue.${suffix}/'
  AzureWebJobsStorage__tableServiceUri: 'https://${hostStorageName}.table.${suffix}/'
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  // Else "/" answers everyone with a page that says which host this is.
  AzureWebJobsDisableHomepage: 'true'
  SASQUASH_STORAGE__queueServiceUri: 'https://${storageName}.queue.${suffix}/'
  SASQUASH_STORAGE__credential: 'managedidentity'
  SASQUASH_STORAGE__clientId: clientId
  SASQUASH_CLIENT_ID: clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
  // The exporter of traces sends Microsoft no statistics about itself, and cannot be configured remotely.
  APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL: 'true'
  APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED: 'true'
  APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED: 'true'
}

var ofRecords = hasRecords
  ? {
      SASQUASH_STORAGE__blobServiceUri: 'https://${storageName}.blob.${suffix}/'
      SASQUASH_STORAGE__tableServiceUri: 'https://${storageName}.table.${suffix}/'
      SASQUASH_DESK: 'https://${app.properties.defaultHostName}/api/desk'
    }
  : {}

var switchedOff = toObject(disabled, name => 'AzureWebJobs.${name}.Disabled', name => 'true')

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: union(tags, {
    'azd-service-name': service
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostBlobUri}${container}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: 40
        instanceMemoryMB: 2048
        alwaysReady: alwaysReady
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: app
  name: 'appsettings'
  properties: union(settings, ownSettings, ofRecords, switchedOff)
}

// The platform checks tokens before the code does. Excluded are callers that authenticate otherwise (Event Grid by its
// system key, reporters by their signatures), and health, which returns no data.
resource authentication 'Microsoft.Web/sites/config@2024-11-01' = if (length(apiClientId) > 0) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: [
        '/runtime/webhooks/eventgrid'
        '/api/intake/*'
        '/api/health'
        '/api/desk'
        '/api/desk/*'
      ]
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: apiClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          // Of version 2 tokens, which scripts/create-registration.sh asks for, the audience is always the client id
          // ("Access token claims reference": aud).
          allowedAudiences: [
            apiClientId
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}

resource noPasswordsForFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noPasswordsForScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-11-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
      {
        category: 'AppServiceAuthenticationLogs'
        enabled: true
      }
    ]
  }
}

output name string = app.name
output host string = app.properties.defaultHostName

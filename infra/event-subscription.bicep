// From the topic to the function, once the code is deployed: azd's hook `postdeploy` deploys this (docs/deploy.md). Event Grid asks
// at once whether the function is there, so that it can't be part of main.bicep.

@description('Name of the topic: output SASQUASH_TOPIC_NAME of main.bicep.')
param topicName string

@description('Name of the app with the function on_finding: output SASQUASH_RESPONDER_NAME.')
param responderName string

@description('Name of the account with the dead letters: output SASQUASH_STORAGE_NAME.')
param storageName string

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: responderName
}

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource findings 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'findings'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${app.id}/functions/on_finding'
        maxEventsPerBatch: 1
      }
    }
    filter: {
      includedEventTypes: [
        'Sasquash.Finding.Reported.v1'
      ]
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: 'dead-letters'
        }
      }
    }
  }
}

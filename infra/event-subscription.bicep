// From the topic to the function or, in a private network, to a queue, once the code is deployed: azd's hook `postdeploy` deploys
// this (docs/deploy.md). It can't be part of main.bicep: Event Grid asks at once whether the function is there, and the topic's
// right on the queue takes minutes to be effective, while a delivery that is refused with 403 is not retried. One subscription of
// one name: a change of the network moves it, and leaves no second one behind.

@description('Name of the topic: output SASQUASH_TOPIC_NAME of main.bicep.')
param topicName string

@description('Name of the app with the function on_finding: output SASQUASH_RESPONDER_NAME.')
param responderName string

@description('Name of the account with the dead letters: output SASQUASH_STORAGE_NAME.')
param storageName string

@description('The queue to deliver to in a private network: output SASQUASH_FINDINGS_QUEUE. Empty: deliver to the function.')
param queueName string = ''

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource app 'Microsoft.Web/sites@2024-11-01' existing = {
  name: responderName
}

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

var toFunction = {
  destination: {
    endpointType: 'AzureFunction'
    properties: {
      resourceId: '${app.id}/functions/on_finding'
      maxEventsPerBatch: 1
    }
  }
}
var toQueue = {
  deliveryWithResourceIdentity: {
    identity: {
      type: 'SystemAssigned'
    }
    destination: {
      endpointType: 'StorageQueue'
      properties: {
        resourceId: account.id
        queueName: queueName
        // For ever: the default is seven days.
        queueMessageTimeToLiveInSeconds: -1
      }
    }
  }
}
var delivery = {
  eventDeliverySchema: 'CloudEventSchemaV1_0'
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

resource findings 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'findings'
  properties: union(delivery, empty(queueName) ? toFunction : toQueue)
}

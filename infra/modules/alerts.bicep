// Alerts about the health of Sasquash itself. It reports leaks by its own mails and incidents.
import { tagMap } from 'types.bicep'

@description('Name of the environment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('The mailbox that gets the alerts.')
param mailbox string

@description('Id of the workspace that is queried.')
param workspaceId string

@description('Id of the topic whose deliveries are watched.')
param topicId string

// `reach` is how far back a query reads: a span is stored under its start time. An alert stays fired until its query
// finds nothing.
var rules = [
  {
    name: 'failed-record'
    display: 'Revocation failed'
    description: 'Revocation failed, or the credential still works. The record says why, and what to do.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/failed-records.kql')
  }
  {
    name: 'unproven-record'
    display: 'Revocation not verified after 15 minutes'
    description: 'The action ran, but the credential is not verified revoked. Treat it as valid.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/unproven-records.kql')
  }
  {
    name: 'poison-message'
    display: 'Message failed repeatedly'
    description: 'A function failed five times on one message. Its record is failed and says so. The leak may still be open.'
    severity: 1
    reach: 'PT1H'
    query: loadTextContent('../queries/poison-messages.kql')
  }
  {
    name: 'poison-queue'
    display: 'Poison queue does not empty'
    description: 'Messages that failed repeatedly are not recorded either, or reach no function any more: docs/operations.md.'
    severity: 1
    reach: 'PT1H'
    query: loadTextContent('../queries/poison-queues.kql')
  }
  {
    name: 'refusal'
    display: 'Azure refused a request of the identity'
    description: 'A right is missing, or a policy denies it. docs/rights.md lists the required rights.'
    severity: 2
    reach: 'PT1H'
    query: loadTextContent('../queries/refusals.kql')
  }
  {
    name: 'not-ready'
    display: 'Storage account not ready for revocation'
    description: 'The daily check found an obstacle to a revocation: docs/operations.md.'
    severity: 3
    reach: 'P1D'
    query: loadTextContent('../queries/not-ready.kql')
  }
  {
    name: 'broken-history'
    display: 'History of a record was changed'
    description: 'A line was changed, removed or added after it was written. Treat the identity as compromised: docs/security.md.'
    severity: 0
    reach: 'P1D'
    query: loadTextContent('../queries/broken-histories.kql')
  }
  {
    name: 'late-copy'
    display: 'History is not copied'
    description: 'Lines of histories wait for hours. Until they are copied, nobody can tell whether they were changed: docs/operations.md.'
    severity: 2
    reach: 'PT1H'
    query: loadTextContent('../queries/late-copies.kql')
  }
  {
    name: 'failed-drill'
    display: 'Drill failed'
    description: 'The leak on the drill account was not revoked and verified in time: docs/operations.md.'
    severity: 1
    reach: 'PT6H'
    query: loadTextContent('../queries/failed-drills.kql')
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-sasquash-${environmentName}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'sasquash'
    enabled: true
    emailReceivers: [
      {
        name: 'security'
        emailAddress: mailbox
        useCommonAlertSchema: true
      }
    ]
  }
}

resource found 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: 'alert-sasquash-${environmentName}-${rule.name}'
    location: location
    tags: tags
    properties: {
      displayName: '${rule.display} (${environmentName})'
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT1H'
      overrideQueryTimeRange: rule.reach
      // A new workspace has no table of Application Insights yet, and the query would be refused.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          people.id
        ]
      }
    }
  }
]

resource stopped 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-sasquash-${environmentName}-stopped'
  location: location
  tags: tags
  properties: {
    displayName: 'Responder is not running (${environmentName})'
    description: 'The sweep, which runs each minute, did not run for 15 minutes. Findings wait in Event Grid for a day.'
    severity: 0
    enabled: true
    autoMitigate: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: loadTextContent('../queries/sweeps.kql')
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}

resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for metric in [
    'DeadLetteredCount'
    'DroppedEventCount'
  ]: {
    name: 'alert-sasquash-${environmentName}-${metric}'
    location: 'global'
    tags: tags
    properties: {
      description: 'Event Grid could not deliver a finding. Dead letters are collected within five minutes. A dropped event is lost.'
      severity: 1
      enabled: true
      autoMitigate: true
      scopes: [
        topicId
      ]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT5M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: metric
            metricNamespace: 'Microsoft.EventGrid/topics'
            metricName: metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      actions: [
        {
          actionGroupId: people.id
        }
      ]
    }
  }
]

// Who is called when Sasquash itself is in trouble. Leaks are told of by its own mails and incidents.

@description('Name of the environment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Who is mailed.')
param mailbox string

@description('Id of the workspace that is asked.')
param workspaceId string

@description('Id of the topic whose deliveries are watched.')
param topicId string

// `reach` is how far back a query reads: a span is filed under when it began. A rule stays fired until its query finds
// nothing.
var rules = [
  {
    name: 'failed-record'
    display: 'A revocation failed'
    description: 'Azure refused a lever, or what was pulled did not kill. The record says why, and what to do.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/failed-records.kql')
  }
  {
    name: 'unproven-record'
    display: 'A revocation has no proof after 15 minutes'
    description: 'A lever was pulled, and nothing shows yet that the credential is dead. Treat it as working.'
    severity: 1
    reach: 'P2D'
    query: loadTextContent('../queries/unproven-records.kql')
  }
  {
    name: 'poison-message'
    display: 'A queued message failed each time'
    description: 'Its record says so and is unresolved; what it was about may still be open.'
    severity: 1
    reach: 'PT1H'
    query: loadTextContent('../queries/poison-messages.kql')
  }
  {
    name: 'refusal'
    display: 'Azure refuses the identity a right'
    description: 'A right is missing, or a policy denies it. docs/rights.md says what is needed.'
    severity: 2
    reach: 'PT1H'
    query: loadTextContent('../queries/refusals.kql')
  }
  {
    name: 'not-ready'
    display: 'A key could not be revoked on some account'
    description: 'The daily look found what would stand in the way: docs/operations.md.'
    severity: 3
    reach: 'P1D'
    query: loadTextContent('../queries/not-ready.kql')
  }
  {
    name: 'failed-drill'
    display: 'The drill failed'
    description: 'A leak on the drill account was not revoked and proven in time: docs/operations.md.'
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

resource found 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
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
}]

resource stopped 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'alert-sasquash-${environmentName}-stopped'
  location: location
  tags: tags
  properties: {
    displayName: 'The responder does not run (${environmentName})'
    description: 'Its sweep, which runs each minute, did not for 15 minutes. Findings wait in Event Grid for a day.'
    severity: 0
    enabled: true
    autoMitigate: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
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

resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = [for metric in [
  'DeadLetteredCount'
  'DroppedEventCount'
]: {
  name: 'alert-sasquash-${environmentName}-${metric}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Event Grid gave up on a finding. Dead letters are collected within five minutes; a dropped event is gone.'
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
}]

// What Sasquash does and how fast. In Azure Monitor: Workbooks, "Sasquash (<environment>)".
import { tagMap } from 'types.bicep'

@description('Name of the environment.')
param environmentName string

@description('Region.')
param location string

@description('Tags.')
param tags tagMap

@description('Id of the workspace that is queried.')
param workspaceId string

var charts = [
  {
    title: 'Seconds until contained, and until verified'
    visualization: 'linechart'
    query: loadTextContent('../workbook/time-to-contain.kql')
  }
  {
    title: 'Leaks by state'
    visualization: 'piechart'
    query: loadTextContent('../workbook/states.kql')
  }
  {
    title: 'Failed, unresolved, or awaiting approval'
    visualization: 'table'
    query: loadTextContent('../workbook/failures.kql')
  }
  {
    title: 'Leaks by source'
    visualization: 'barchart'
    query: loadTextContent('../workbook/leaks-by-source.kql')
  }
  {
    title: 'Actions by account'
    visualization: 'table'
    query: loadTextContent('../workbook/actions.kql')
  }
  {
    title: 'Accounts not ready for revocation'
    visualization: 'table'
    query: loadTextContent('../queries/not-ready.kql')
  }
]

var period = {
  type: 9
  name: 'period'
  content: {
    version: 'KqlParameterItem/1.0'
    style: 'pills'
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    parameters: [
      {
        id: guid(workspaceId, environmentName, 'period')
        version: 'KqlParameterItem/1.0'
        name: 'Period'
        type: 4
        isRequired: true
        value: {
          durationMs: 2592000000
        }
        typeSettings: {
          selectableValues: [
            {
              durationMs: 86400000
            }
            {
              durationMs: 604800000
            }
            {
              durationMs: 2592000000
            }
            {
              durationMs: 7776000000
            }
          ]
        }
      }
    ]
  }
}

var drawn = [
  for (chart, i) in charts: {
    type: 3
    name: 'chart-${i}'
    content: {
      version: 'KqlItem/1.0'
      title: chart.title
      query: chart.query
      size: 0
      timeContextFromParameter: 'Period'
      queryType: 0
      resourceType: 'microsoft.operationalinsights/workspaces'
      visualization: chart.visualization
      noDataMessage: 'No data in this period.'
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, environmentName, 'workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Sasquash (${environmentName})'
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string({
      version: 'Notebook/1.0'
      items: concat(
        [
          period
        ],
        drawn
      )
      fallbackResourceIds: [
        workspaceId
      ]
    })
  }
}

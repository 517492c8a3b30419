/** The routes of the console; every page is a chunk of its own. */
import { QueryClientProvider } from '@tanstack/react-query'
import { useState } from 'react'
import { createBrowserRouter, RouterProvider, type RouteObject } from 'react-router'
import { makeQueryClient } from './api/query-client'
import { PageError } from './shell/page-error'
import { Shell } from './shell/shell'
import { ToastProvider } from './ui/toast'

const routes: RouteObject[] = [
  {
    element: <Shell />,
    errorElement: <PageError />,
    // Pages arrive as chunks; the frame around them is already there.
    hydrateFallbackElement: <></>,
    children: [
      {
        errorElement: <PageError />,
        children: [
          { index: true, lazy: async () => ({ Component: (await import('./overview/overview-page')).OverviewPage }) },
          { path: 'traces', lazy: async () => ({ Component: (await import('./traces/trace-list-page')).TraceListPage }) },
          { path: 'traces/:id', lazy: async () => ({ Component: (await import('./traces/trace-page')).TracePage }) },
          { path: 'datasets', lazy: async () => ({ Component: (await import('./datasets/dataset-list-page')).DatasetListPage }) },
          { path: 'datasets/:name', lazy: async () => ({ Component: (await import('./datasets/dataset-page')).DatasetPage }) },
          { path: 'datasets/:name/:version', lazy: async () => ({ Component: (await import('./datasets/dataset-page')).DatasetPage }) },
          { path: 'training', lazy: async () => ({ Component: (await import('./training/job-list-page')).JobListPage }) },
          { path: 'training/:id', lazy: async () => ({ Component: (await import('./training/job-page')).JobPage }) },
          {
            path: 'evaluations',
            lazy: async () => ({ Component: (await import('./evaluations/evaluation-list-page')).EvaluationListPage }),
          },
          {
            path: 'evaluations/compare',
            lazy: async () => ({ Component: (await import('./evaluations/comparison-page')).ComparisonPage }),
          },
          { path: 'evaluations/:id', lazy: async () => ({ Component: (await import('./evaluations/evaluation-page')).EvaluationPage }) },
          { path: 'models', lazy: async () => ({ Component: (await import('./models/model-list-page')).ModelListPage }) },
          { path: 'models/:ref', lazy: async () => ({ Component: (await import('./models/model-page')).ModelPage }) },
          { path: 'releases/:id', lazy: async () => ({ Component: (await import('./models/release-page')).ReleasePage }) },
          { path: 'endpoints', lazy: async () => ({ Component: (await import('./endpoints/endpoint-list-page')).EndpointListPage }) },
          { path: 'endpoints/:name', lazy: async () => ({ Component: (await import('./endpoints/endpoint-page')).EndpointPage }) },
          { path: 'settings', lazy: async () => ({ Component: (await import('./settings/settings-page')).SettingsPage }) },
          { path: '*', lazy: async () => ({ Component: (await import('./shell/not-found-page')).NotFoundPage }) },
        ],
      },
    ],
  },
]

export function App() {
  const [client] = useState(makeQueryClient)
  const [router] = useState(() => createBrowserRouter(routes))
  return (
    <QueryClientProvider client={client}>
      <ToastProvider>
        <RouterProvider router={router} />
      </ToastProvider>
    </QueryClientProvider>
  )
}

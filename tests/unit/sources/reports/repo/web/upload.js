const account = 'proseware020e2e';
const sasToken = 'st=2026-11-01T00%3A00%3A00Z&se=2031-10-06T00%3A00%3A00Z&sp=rwl&sv=2026-10-06&ss=b&srt=sco&sig=qbEdHy0J8%2B72KqR8fdRYRwYKzxBF%2B0lnvUMZ5uzoUuI%3D';
const client = new BlobServiceClient(`https://${account}.blob.core.windows.net?${sasToken}`);

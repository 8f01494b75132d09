SAS = "https://lucerne036e2e.blob.core.windows.net/incoming?sv=2026-10-06&si=upload&sr=c&sig=uBgOlNVt/GXqG7O/VbQ2z/x7fPDRuFVm4Oj4rRK02OE%3D"

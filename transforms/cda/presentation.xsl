<?xml version="1.0" encoding="UTF-8"?>
<!-- Shows a CR-Bio in a browser: what its header says of people, and its narrative. XSLT 1.0, no script, nothing loaded
     from elsewhere. It is copied into a self-presentable document, or used beside one. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:c="urn:hl7-org:v3"
  exclude-result-prefixes="c">
  <xsl:output method="html" encoding="UTF-8" doctype-system="about:legacy-compat"/>
  <xsl:template match="/">
    <xsl:apply-templates select="(//c:ClinicalDocument)[1]"/>
  </xsl:template>
  <xsl:template match="c:ClinicalDocument">
    <html lang="fr">
      <head>
        <title><xsl:value-of select="c:title"/></title>
        <style>
          body { font: 15px/1.45 system-ui, sans-serif; color: #16202a; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
          h1 { font-size: 1.3rem; color: #123a5e; } h2 { font-size: 1.05rem; color: #123a5e; border-bottom: 2px solid #123a5e; }
          h3 { font-size: 1rem; color: #123a5e; } p { margin: .3rem 0; }
          table { width: 100%; border-collapse: collapse; margin: .5rem 0 1rem; }
          th { text-align: left; font-size: .85rem; color: #54636f; border-bottom: 1px solid #123a5e; }
          th, td { padding: .25rem .5rem; vertical-align: top; } td { border-bottom: 1px solid #e5eaee; }
          .who th { border: 0; font-weight: 400; width: 14rem; } .who td { border: 0; font-weight: 600; }
          .b { font-weight: 700; } img { max-width: 100%; }
        </style>
      </head>
      <body>
        <h1><xsl:value-of select="c:title"/></h1>
        <table class="who">
          <xsl:call-template name="fact">
            <xsl:with-param name="label">Nom et prénoms de naissance</xsl:with-param>
            <xsl:with-param name="what" select="c:recordTarget//c:patient/c:name/c:family[@qualifier='BR']
              | c:recordTarget//c:patient/c:name/c:given[not(@qualifier)]"/>
          </xsl:call-template>
          <xsl:call-template name="fact">
            <xsl:with-param name="label">Nom et prénom utilisés</xsl:with-param>
            <xsl:with-param name="what" select="c:recordTarget//c:patient/c:name/*[@qualifier='CL']"/>
          </xsl:call-template>
          <tr><th>Né(e) le</th><td>
            <xsl:call-template name="time">
              <xsl:with-param name="ts" select="c:recordTarget/c:patientRole/c:patient/c:birthTime/@value"/>
            </xsl:call-template>
          </td></tr>
          <xsl:for-each select="c:recordTarget/c:patientRole/c:id">
            <tr><th><xsl:choose>
              <xsl:when test="starts-with(@root, '1.2.250.1.213.1.4.')">INS</xsl:when>
              <xsl:otherwise>IPP</xsl:otherwise>
            </xsl:choose></th><td><xsl:value-of select="@extension"/></td></tr>
          </xsl:for-each>
          <xsl:call-template name="fact">
            <xsl:with-param name="label">Laboratoire</xsl:with-param>
            <xsl:with-param name="what" select="c:documentationOf[1]//c:representedOrganization/c:name"/>
          </xsl:call-template>
          <xsl:call-template name="fact">
            <xsl:with-param name="label">Prescripteur</xsl:with-param>
            <xsl:with-param name="what" select="c:participant[@typeCode='REF'][1]//c:associatedPerson/c:name/*"/>
          </xsl:call-template>
          <xsl:call-template name="fact">
            <xsl:with-param name="label">Validé par</xsl:with-param>
            <xsl:with-param name="what" select="c:legalAuthenticator//c:assignedPerson/c:name/*"/>
          </xsl:call-template>
          <tr><th>Version</th><td>
            <xsl:value-of select="c:versionNumber/@value"/><xsl:text> du </xsl:text>
            <xsl:call-template name="time"><xsl:with-param name="ts" select="c:effectiveTime/@value"/></xsl:call-template>
            <xsl:if test="c:documentationOf[1]//*[local-name() = 'statusCode'][@code = 'active']">
              <xsl:text>, compte rendu partiel</xsl:text>
            </xsl:if>
            <xsl:if test="c:relatedDocument[@typeCode='RPLC']">
              <xsl:text>, annule et remplace la version précédente</xsl:text>
            </xsl:if>
          </td></tr>
        </table>
        <xsl:apply-templates select="c:component/c:structuredBody/c:component/c:section"/>
        <xsl:if test="c:component/c:nonXMLBody"><p>Le corps de ce document est un fichier PDF.</p></xsl:if>
      </body>
    </html>
  </xsl:template>
  <xsl:template name="fact">
    <xsl:param name="label"/>
    <xsl:param name="what"/>
    <xsl:if test="$what">
      <tr><th><xsl:value-of select="$label"/></th><td>
        <xsl:for-each select="$what"><xsl:value-of select="."/><xsl:text> </xsl:text></xsl:for-each>
      </td></tr>
    </xsl:if>
  </xsl:template>
  <xsl:template name="time">
    <xsl:param name="ts"/>
    <xsl:if test="string-length($ts) &gt; 7">
      <xsl:value-of select="concat(substring($ts, 7, 2), '/', substring($ts, 5, 2), '/', substring($ts, 1, 4))"/>
    </xsl:if>
    <xsl:if test="string-length($ts) &gt; 11">
      <xsl:value-of select="concat(' à ', substring($ts, 9, 2), ':', substring($ts, 11, 2))"/>
    </xsl:if>
  </xsl:template>
  <xsl:template match="c:section">
    <h2><xsl:value-of select="c:title"/></h2>
    <xsl:apply-templates select="c:text"/>
    <xsl:apply-templates select="c:component/c:section"/>
  </xsl:template>
  <xsl:template match="c:section/c:component/c:section" priority="1">
    <h3><xsl:value-of select="c:title"/></h3>
    <xsl:apply-templates select="c:text"/>
  </xsl:template>
  <xsl:template match="c:text"><xsl:apply-templates/></xsl:template>
  <xsl:template match="c:paragraph"><p><xsl:apply-templates/></p></xsl:template>
  <xsl:template match="c:br"><br/></xsl:template>
  <xsl:template match="c:content"><span><xsl:call-template name="bold"/><xsl:apply-templates/></span></xsl:template>
  <xsl:template name="bold">
    <xsl:if test="contains(@styleCode, 'Bold')"><xsl:attribute name="class">b</xsl:attribute></xsl:if>
  </xsl:template>
  <xsl:template match="c:sub"><sub><xsl:apply-templates/></sub></xsl:template>
  <xsl:template match="c:sup"><sup><xsl:apply-templates/></sup></xsl:template>
  <xsl:template match="c:list"><ul><xsl:apply-templates/></ul></xsl:template>
  <xsl:template match="c:item"><li><xsl:apply-templates/></li></xsl:template>
  <xsl:template match="c:caption"><p class="b"><xsl:apply-templates/></p></xsl:template>
  <xsl:template match="c:table"><table><xsl:apply-templates/></table></xsl:template>
  <xsl:template match="c:thead"><thead><xsl:apply-templates/></thead></xsl:template>
  <xsl:template match="c:tbody"><tbody><xsl:apply-templates/></tbody></xsl:template>
  <xsl:template match="c:tr"><tr><xsl:apply-templates/></tr></xsl:template>
  <xsl:template match="c:th"><th><xsl:copy-of select="@colspan | @rowspan"/><xsl:apply-templates/></th></xsl:template>
  <xsl:template match="c:td"><td><xsl:copy-of select="@colspan | @rowspan"/><xsl:apply-templates/></td></xsl:template>
  <xsl:template match="c:renderMultiMedia">
    <xsl:variable name="media" select="//c:observationMedia[@ID = current()/@referencedObject]/c:value"/>
    <xsl:choose>
      <xsl:when test="$media/@mediaType = 'image/png' or $media/@mediaType = 'image/jpeg' or $media/@mediaType = 'image/gif'">
        <img alt="" src="data:{$media/@mediaType};base64,{$media}"/>
      </xsl:when>
      <xsl:otherwise><p>Fichier joint au document.</p></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
</xsl:stylesheet>
